SELECT pg_sleep(0.8);  -- the same, before the lock is taken
ALTER TABLE orders ADD COLUMN note text;
