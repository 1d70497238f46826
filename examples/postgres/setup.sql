-- What the examples read, and what a spout needs of a database: a role, rights on the tables, a publication and a slot.
CREATE TABLE orders (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer text NOT NULL,
    amount numeric(12, 2) NOT NULL,
    placed timestamptz NOT NULL DEFAULT now()
);
INSERT INTO orders (customer, amount) VALUES ('Ada', 19.90), ('Grace', 7.50), ('Edsger', 1200.00);

CREATE ROLE spout LOGIN REPLICATION PASSWORD 'change-me';
GRANT SELECT ON orders TO spout;

-- Only for changes.yaml; the publication before the slot.
CREATE PUBLICATION orders FOR TABLE orders;
SELECT pg_create_logical_replication_slot('orders_spout', 'pgoutput');
