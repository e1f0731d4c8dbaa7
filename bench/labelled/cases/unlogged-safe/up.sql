SET lock_timeout = '5s';
SET statement_timeout = '10min';
CREATE UNLOGGED TABLE cache (key text PRIMARY KEY, value text);
