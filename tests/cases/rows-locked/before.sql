CREATE TABLE orders (id int PRIMARY KEY, note text);
INSERT INTO orders (id) SELECT generate_series(1, 20000);
