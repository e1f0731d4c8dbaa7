export const up = (pgm) => {
  pgm.sql("UPDATE customers SET email = 'unknown-' || id || '@example.invalid' WHERE email IS NULL");
  pgm.alterColumn("customers", "email", { notNull: true });
  pgm.addConstraint("customers", "customers_email", { unique: "email" });
};

export const down = (pgm) => {
  pgm.dropConstraint("customers", "customers_email");
  pgm.alterColumn("customers", "email", { notNull: false });
};
