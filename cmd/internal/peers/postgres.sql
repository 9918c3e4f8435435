-- A ledger of credits as someone who knows PostgreSQL well would write it. The row of a charge is at once its
-- line in the history and its idempotency row: one insert, one index. Keys are UUIDs that sort by time and come
-- first in that index, so it is appended to. Rows of lots have room on their page (fillfactor), so that an update
-- touches no index.
CREATE TABLE accounts (id text COLLATE "C" PRIMARY KEY) WITH (fillfactor = 70);

CREATE TABLE lots (
  account   text COLLATE "C" NOT NULL,
  n         int NOT NULL,
  priority  int NOT NULL DEFAULT 1,
  expires   timestamptz NOT NULL DEFAULT 'infinity',
  granted   bigint NOT NULL,
  remaining bigint NOT NULL CHECK (remaining >= 0),
  PRIMARY KEY (account, n)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.1);

CREATE TABLE charges (
  account   text COLLATE "C" NOT NULL,
  key       uuid NOT NULL,
  hash      bytea NOT NULL,
  meter     text NOT NULL,
  cost      bigint NOT NULL,
  draws     bigint[] NOT NULL, -- lot, amount, lot, amount …
  remaining bigint NOT NULL,   -- of the account, after it
  at        timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (key, account)
);

-- charge decides one charge: recorded, replayed, conflict, insufficient or unknown_account.
CREATE FUNCTION charge(p_account text, p_key uuid, p_hash bytea, p_meter text, p_cost bigint, OUT status text, OUT remaining bigint)
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
  old   record;
  lot   record;
  short bigint := p_cost;
  take  bigint;
  draws bigint[] := '{}';
BEGIN
  PERFORM FROM accounts WHERE id = p_account FOR NO KEY UPDATE; -- whoever charges this account too waits here
  IF NOT FOUND THEN
    status := 'unknown_account';
    RETURN;
  END IF;
  SELECT c.hash, c.remaining INTO old FROM charges c WHERE c.key = p_key AND c.account = p_account;
  IF FOUND THEN
    status := CASE WHEN old.hash = p_hash THEN 'replayed' ELSE 'conflict' END;
    remaining := old.remaining;
    RETURN;
  END IF;
  remaining := 0;
  FOR lot IN SELECT l.n, l.remaining FROM lots l
    WHERE l.account = p_account AND l.remaining > 0 AND l.expires > now() ORDER BY l.priority, l.expires, l.n
  LOOP
    take := least(lot.remaining, short);
    IF take > 0 THEN
      draws := draws || ARRAY[lot.n, take];
    END IF;
    short := short - take;
    remaining := remaining + lot.remaining - take;
  END LOOP;
  IF short > 0 THEN
    status := 'insufficient';
    RETURN;
  END IF;
  FOR i IN 1 .. array_length(draws, 1) BY 2 LOOP
    UPDATE lots l SET remaining = l.remaining - draws[i + 1] WHERE l.account = p_account AND l.n = draws[i];
  END LOOP;
  INSERT INTO charges (account, key, hash, meter, cost, draws, remaining) VALUES (p_account, p_key, p_hash, p_meter, p_cost, draws, remaining);
  status := 'recorded';
END $$;

-- charge_many decides many at once, each for itself, those of one account in the order given. What the lots of
-- an account cover is paid by sets: the running total of what is asked, laid over the running total of what the
-- lots hold. Accounts that are short, and keys that come twice, are decided one by one.
CREATE FUNCTION charge_many(p_accounts text[], p_keys uuid[], p_hashes bytea[], p_meters text[], p_costs bigint[])
RETURNS TABLE (place bigint, status text)
LANGUAGE plpgsql SET enable_seqscan = off SET enable_mergejoin = off AS $$
#variable_conflict use_column
BEGIN
  PERFORM FROM accounts WHERE id = ANY (p_accounts) ORDER BY id FOR NO KEY UPDATE; -- in one order: no deadlocks
  RETURN QUERY
  WITH asked AS MATERIALIZED (
    SELECT u.*, c.hash AS old
    FROM unnest(p_accounts, p_keys, p_hashes, p_meters, p_costs) WITH ORDINALITY AS u(account, key, hash, meter, cost, place)
    LEFT JOIN charges c ON c.key = u.key AND c.account = u.account
  ), demand AS MATERIALIZED (
    SELECT a.*, sum(a.cost) OVER (PARTITION BY a.account ORDER BY a.place) AS upto, sum(a.cost) OVER (PARTITION BY a.account) AS total,
      count(*) OVER (PARTITION BY a.account, a.key) AS times
    FROM asked a WHERE a.old IS NULL
  ), supply AS MATERIALIZED (
    SELECT l.account, l.n, l.remaining, sum(l.remaining) OVER (PARTITION BY l.account ORDER BY l.priority, l.expires, l.n) AS upto,
      sum(l.remaining) OVER (PARTITION BY l.account) AS total
    FROM (SELECT DISTINCT d.account FROM demand d) d JOIN lots l ON l.account = d.account
    WHERE l.remaining > 0 AND l.expires > now()
  ), alone AS MATERIALIZED (
    SELECT DISTINCT d.account FROM demand d LEFT JOIN (SELECT DISTINCT s.account, s.total FROM supply s) s ON s.account = d.account
    WHERE d.times > 1 OR s.total IS NULL OR s.total < d.total
  ), pays AS MATERIALIZED (
    SELECT d.place, d.key, d.hash, d.meter, d.cost, s.account, s.n, (s.total - d.upto)::bigint AS remaining, s.upto AS lot_upto,
      (least(d.upto, s.upto) - greatest(d.upto - d.cost, s.upto - s.remaining))::bigint AS amount
    FROM demand d JOIN supply s ON s.account = d.account AND s.upto - s.remaining < d.upto AND d.upto - d.cost < s.upto
    WHERE NOT EXISTS (SELECT FROM alone o WHERE o.account = d.account)
  ), drawn AS (
    UPDATE lots l SET remaining = l.remaining - p.amount
    FROM (SELECT p.account, p.n, sum(p.amount)::bigint AS amount FROM pays p GROUP BY p.account, p.n) p
    WHERE l.account = p.account AND l.n = p.n
  ), paid AS MATERIALIZED (
    SELECT p.place, p.account, p.key, p.hash, p.meter, p.cost, min(p.remaining) AS remaining, array_agg(x.part ORDER BY p.lot_upto, x.i) AS draws
    FROM pays p CROSS JOIN LATERAL (VALUES (1, p.n::bigint), (2, p.amount)) AS x(i, part)
    GROUP BY p.place, p.account, p.key, p.hash, p.meter, p.cost -- all of one charge, so that it needs no second join
  ), written AS (
    INSERT INTO charges (account, key, hash, meter, cost, draws, remaining)
    SELECT p.account, p.key, p.hash, p.meter, p.cost, p.draws, p.remaining FROM paid p ORDER BY p.key
  )
  SELECT t.place, coalesce(t.status, (SELECT o.status FROM charge(t.account, t.key, t.hash, t.meter, t.cost) o))
  FROM (
    SELECT a.place, a.account, a.key, a.hash, a.meter, a.cost,
      CASE WHEN a.old = a.hash THEN 'replayed' WHEN a.old IS NOT NULL THEN 'conflict' WHEN p.place IS NOT NULL THEN 'recorded' END AS status
    FROM asked a LEFT JOIN paid p ON p.place = a.place ORDER BY a.place
  ) t;
END $$;
