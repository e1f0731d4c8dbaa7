ALTER TABLE orders ADD COLUMN note text;
CREATE EXTENSION IF NOT EXISTS citext;
CREATE ROLE reader;
GRANT reader TO current_user;
GRANT SELECT ON orders TO reader;
DROP OWNED BY reader;
DROP ROLE reader;
