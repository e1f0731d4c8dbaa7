CREATE TABLE audit_log (at timestamptz, what text);
CREATE TABLE coupons (id int PRIMARY KEY, note text);
INSERT INTO coupons SELECT n, 'fair' FROM generate_series(1, 100) AS n;
CREATE FUNCTION logged() RETURNS trigger LANGUAGE plpgsql AS
  $$BEGIN INSERT INTO audit_log VALUES (now(), TG_TABLE_NAME); RETURN NEW; END$$;
CREATE TRIGGER coupons_logged AFTER UPDATE ON coupons FOR EACH ROW EXECUTE FUNCTION logged();
