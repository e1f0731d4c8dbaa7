SET lock_timeout = '5s';
SET statement_timeout = '10min';
ALTER TABLE bookings ADD CONSTRAINT bookings_apart EXCLUDE USING gist (during WITH &&);
