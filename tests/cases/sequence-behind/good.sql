INSERT INTO plans (id, name) VALUES (1, 'free'), (2, 'team'), (3, 'enterprise');
SELECT setval('plans_id_seq', (SELECT max(id) FROM plans));
