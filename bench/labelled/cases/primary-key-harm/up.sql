SET lock_timeout = '5s';
SET statement_timeout = '10min';
ALTER TABLE product_tags ADD PRIMARY KEY (product_id, tag);
