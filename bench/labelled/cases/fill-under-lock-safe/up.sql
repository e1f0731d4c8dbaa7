SET lock_timeout = '5s';
SET statement_timeout = '10min';
ALTER TABLE countries ADD COLUMN continent text;
UPDATE countries SET continent = 'Europe';
