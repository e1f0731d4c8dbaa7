SET lock_timeout = '5s';
SET statement_timeout = '10min';
CREATE INDEX countries_name ON countries (name);
