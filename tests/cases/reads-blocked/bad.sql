ALTER TABLE orders ADD COLUMN note text;
SELECT pg_sleep(0.8);  -- stands for whatever takes long
