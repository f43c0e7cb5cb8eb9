-- What the demo prints of a social network: a title and a statement, as often as you like.
\pset footer off
\pset null '-'

\echo 'Active users of each month, and what sketches of a few hundred bytes make of them'
SELECT to_char(month, 'YYYY-MM') AS month, mau, round(mean_dau, 1) AS "mean dau", round(stickiness, 3) AS stickiness,
       mau_estimate AS "mau by sketch", events
FROM active_users_monthly
WHERE month >= '2024-01-01'
ORDER BY month;

\echo 'Where they come from and go to'
SELECT to_char(period_start, 'YYYY-MM') AS month, active, new, retained, resurrected, -churned AS churned, net_growth,
       repeat('+', round((new + resurrected) / 10.0)::integer) || ' ' || repeat('-', round(churned / 10.0)::integer) AS " "
FROM user_growth
WHERE period = 'month' AND period_start >= '2024-01-01'
ORDER BY period_start;

\echo 'Churn: the share of a month''s users who were not there in the next'
SELECT to_char(period_start, 'YYYY-MM') AS "month missed", active_before AS "active before", churned,
       round(100 * churn_rate, 1) AS "churned, %"
FROM user_churn
WHERE period = 'month' AND period_start >= '2024-02-01'
ORDER BY period_start;

\echo 'Engagement by type of content'
SELECT content_type, sum(views) AS views, sum(likes) AS likes, sum(comments) AS comments, sum(shares) AS shares,
       round(100.0 * sum(likes) / nullif(sum(views), 0), 1) AS "likes, %"
FROM post_engagement
GROUP BY 1
ORDER BY views DESC;

\echo 'Advertising by campaign'
SELECT campaign_name, impressions, clicks, conversions, round(cost, 2) AS cost, revenue,
       round(100 * ctr, 2) AS "ctr, %", round(100 * cvr, 1) AS "cvr, %", round(cpc, 2) AS cpc, round(roas, 1) AS roas
FROM ad_performance_by_campaign
ORDER BY revenue DESC;

\echo 'Devices'
SELECT device_type, sum(events) AS events, round(avg(users), 1) AS "mean users a day", round(100 * avg(share_of_events), 1) AS "of events, %"
FROM device_behaviour
GROUP BY 1
ORDER BY events DESC;
