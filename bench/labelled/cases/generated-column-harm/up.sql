SET lock_timeout = '5s';
SET statement_timeout = '10min';
ALTER TABLE invoices ADD COLUMN digits text GENERATED ALWAYS AS (substr(number, 3)) STORED;
