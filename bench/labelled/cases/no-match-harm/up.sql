SET lock_timeout = '5s';
SET statement_timeout = '10min';
UPDATE products AS p SET supplier = (SELECT s.name FROM suppliers AS s WHERE s.id = p.supplier_id);
