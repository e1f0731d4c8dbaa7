SET lock_timeout = '5s';
SET statement_timeout = '10min';
UPDATE products AS p SET brand = s.name FROM suppliers AS s WHERE s.id = p.maker_id AND p.brand IS NULL;
