CREATE TABLE orders_of_active_customers (id int PRIMARY KEY);
