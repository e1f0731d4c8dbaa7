CREATE TABLE orders_2019 (id int PRIMARY KEY);
INSERT INTO orders_2019 SELECT generate_series(1, 100);
CREATE TABLE drafts (id int PRIMARY KEY);
