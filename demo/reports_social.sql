-- What the demo prints of a social network: a title, a statement, and so on.
\pset footer off
\pset null '-'

\echo 'Active users of each month, and how many of the days before'
SELECT to_char(day, 'YYYY-MM') AS month, count(DISTINCT user_id) AS mau, round(count(*)::numeric / count(DISTINCT day), 1) AS mean_dau,
       round(count(*)::numeric / count(DISTINCT day) / count(DISTINCT user_id), 3) AS stickiness
FROM (SELECT DISTINCT coalesce(viewer_id, creator_id) AS user_id, (event_time AT TIME ZONE 'UTC')::date AS day FROM content_event) d
WHERE day >= '2024-01-01'
GROUP BY 1
ORDER BY 1;

\echo 'Engagement by type of content'
SELECT content_type, count(*) FILTER (WHERE event_type = 'view') AS views, count(DISTINCT viewer_id) AS reach,
       count(*) FILTER (WHERE event_type = 'like') AS likes, count(*) FILTER (WHERE event_type = 'comment') AS comments,
       count(*) FILTER (WHERE event_type = 'share') AS shares
FROM content_event JOIN content_current USING (content_id)
GROUP BY 1
ORDER BY views DESC;

\echo 'Advertising by campaign'
SELECT campaign_name, count(*) FILTER (WHERE event_type = 'impression') AS impressions,
       count(*) FILTER (WHERE event_type = 'click') AS clicks, count(*) FILTER (WHERE event_type = 'conversion') AS conversions,
       round(sum(cost), 2) AS cost, sum(revenue) AS revenue, round(sum(revenue) / nullif(sum(cost), 0), 1) AS roas
FROM ad_event JOIN campaign USING (campaign_id)
GROUP BY 1
ORDER BY revenue DESC;
