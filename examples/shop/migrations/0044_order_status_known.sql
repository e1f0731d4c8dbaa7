-- NOT VALID: holds for new rows at once, and reads none of the old ones.
ALTER TABLE orders ADD CONSTRAINT orders_status_known
    CHECK (status IN ('open', 'paid', 'refunded')) NOT VALID;
