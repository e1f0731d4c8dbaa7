SET lock_timeout = '5s';
SET statement_timeout = '10min';
CREATE TYPE level AS ENUM ('low', 'high');
ALTER TABLE drafts ADD COLUMN level level;
CREATE INDEX drafts_body ON drafts (body);
