ALTER TABLE orders ADD COLUMN amount int;
