CREATE TABLE states (name text PRIMARY KEY);
ALTER TABLE orders ADD COLUMN state text REFERENCES states;
