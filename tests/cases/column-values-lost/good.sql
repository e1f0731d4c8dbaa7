ALTER TABLE customers DROP COLUMN fax;  -- it holds no value
