SET lock_timeout = '5s';
SET statement_timeout = '10min';
ALTER TYPE order_status ADD VALUE 'returned';
