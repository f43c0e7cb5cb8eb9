-- Says what was done since the last step and how long that took: \set step 'what' and \ir step.sql
SELECT format('%7s s  %s', to_char(extract(epoch FROM clock_timestamp() - :'step_began'), 'FM990.0'), :'step') AS step_line,
       clock_timestamp() AS step_began
\gset
\echo :step_line
