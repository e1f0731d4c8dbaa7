CREATE TABLE orders (id serial PRIMARY KEY, total int);
INSERT INTO orders (id) VALUES (1900000000);
