SET lock_timeout = '5s';
SET statement_timeout = '10min';
ALTER TABLE warehouses ADD COLUMN token uuid NOT NULL DEFAULT gen_random_uuid();
