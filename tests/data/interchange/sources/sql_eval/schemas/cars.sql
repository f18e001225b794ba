CREATE TABLE sales (
  id SERIAL PRIMARY KEY, -- number; of the sale
  car_id INTEGER NOT NULL REFERENCES cars(id),
  sale_price NUMERIC(10, 2) NOT NULL,
  crtd_ts TIMESTAMP NOT NULL DEFAULT NOW()
);

CREATE TABLE cars (
  id SERIAL PRIMARY KEY,
  make TEXT NOT NULL
);
-- rows
INSERT INTO cars (make) VALUES ('Fiat; 500');
