SET lock_timeout = '5s';
SET statement_timeout = '10min';
CREATE TABLE countries_new AS SELECT code, name FROM countries;
DROP TABLE countries;
ALTER TABLE countries_new RENAME TO countries;
