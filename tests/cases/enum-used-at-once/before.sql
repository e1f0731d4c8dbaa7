CREATE TYPE state AS ENUM ('new', 'paid');
CREATE TABLE orders (id int PRIMARY KEY, state state);
INSERT INTO orders VALUES (1, 'paid');
