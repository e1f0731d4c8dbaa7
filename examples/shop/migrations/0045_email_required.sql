-- Every customer has an e-mail address. Really?
ALTER TABLE customers ALTER COLUMN email SET NOT NULL;
