SET lock_timeout = '5s';
SET statement_timeout = '10min';
ALTER TABLE bookings ALTER COLUMN made_at TYPE date;
