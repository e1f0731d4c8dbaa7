SET lock_timeout = '5s';
SET statement_timeout = '10min';
INSERT INTO currencies (code, name) VALUES ('EUR', 'Euro'), ('GBP', 'Pound') ON CONFLICT DO NOTHING;
