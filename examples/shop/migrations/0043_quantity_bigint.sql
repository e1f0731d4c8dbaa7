-- Some customers order a lot.
ALTER TABLE order_items ALTER COLUMN quantity TYPE bigint;
