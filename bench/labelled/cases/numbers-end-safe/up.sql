SET lock_timeout = '5s';
SET statement_timeout = '10min';
INSERT INTO reports (title) SELECT 'imported ' || n FROM generate_series(1, 600) AS n;
