SET lock_timeout = '5s';
SET statement_timeout = '10min';
ALTER TABLE invoices ADD CONSTRAINT invoices_number_once UNIQUE USING INDEX invoices_number;
