-- Read models of a company with %(size)s customers, each with an e-mail address, a telephone number, a tag and a deal.
CREATE TEMPORARY TABLE made AS
WITH syllables AS (
    SELECT
        ARRAY['ba','bro','chi','da','fre','go','han','i','jo','ka','lu','mar','ne','o','pe','ri','sa','tho','u','wi'] AS s,
        ARRAY['Andrea','Anders','Berta','Carl','Dora','Emil','Frida','Georg','Hanna','Ivo','Jana','Kurt','Lena','Max',
              'Nora','Otto','Paula','Rita','Sara','Tom'] AS first
), numbers AS (
    SELECT n, abs(hashint8extended(n, 1) %% 1000000007) AS h, %(size)s / 200 AS step FROM generate_series(1, %(size)s) n
)
SELECT
    n,
    'cus_' || lpad(n::text, 26, '0') AS id,
    CASE
        -- Two hundred customers, whatever the size, share twenty rare names.
        WHEN n %% step = 0 THEN 'Ada Q' || translate(substr(md5((n / step %% 20)::text), 1, 9), '0123456789', 'ghijklmnop')
        ELSE first[1 + (h %% 20)::int] || ' ' || initcap(
            s[1 + (h / 20 %% 20)::int] || s[1 + (h / 400 %% 20)::int] || s[1 + (h / 8000 %% 20)::int]
            || CASE WHEN h %% 3 = 0 THEN s[1 + (h / 160000 %% 20)::int] ELSE '' END)
    END AS name,
    '04' || lpad((n * 7919::bigint %% 100000000)::text, 8, '0') AS phone,
    -- Fifty customers to an owner, whatever the size; one tag that every fourth has, and many that fifty have.
    'stf_' || lpad((n %% (%(size)s / 50))::text, 26, '0') AS owner,
    CASE WHEN n %% 4 = 0 THEN 'frequent' ELSE 'tag ' || n %% (%(size)s / 50) END AS tag,
    timestamptz '2020-01-01' + n * interval '1 minute' AS at
FROM numbers, syllables;

INSERT INTO daybook_read.customers (
    id, kind, name, name_key, status, relationship, owner_id, source, annual_revenue, revenue_currency, created_at,
    registered_position, changed_at, version, position, recorded_at, since_occurred_at
)
SELECT id, 'person', name, lower(name), 'active', 'active', owner, 'web', n %% 1000 * 1000, 'EUR', at, n, at, 1, n, at, at
FROM made;

-- What is one customer's lies together, as where a projection has written it.
INSERT INTO daybook_read.customer_contact_points (
    id, customer_id, kind, value, normalised, is_primary, ordinal, added_at, since_position, since_occurred_at
)
SELECT 'cpt_' || letter || n, id, kind, value, normalised, true, ordinal, at, n, at
FROM made
CROSS JOIN LATERAL (SELECT lower(replace(name, ' ', '.')) || n || '@example.com' AS mail) AS addressed
CROSS JOIN LATERAL (
    VALUES ('m', 'email', mail, mail, 1000), ('p', 'phone', phone, '+41' || substr(phone, 2), 1001)
) AS point (letter, kind, value, normalised, ordinal);

INSERT INTO daybook_read.customer_search (customer_id, what, which, text, since_position, since_occurred_at)
SELECT id, what, which, text, n, at
FROM made
CROSS JOIN LATERAL (
    VALUES
        ('name', '', lower(name)),
        ('contact_point', 'cpt_m' || n, lower(replace(name, ' ', '')) || n || 'examplecom'),
        ('contact_point', 'cpt_p' || n, phone || ' 41' || substr(phone, 2))
) AS searched (what, which, text);

INSERT INTO daybook_read.customer_tags (customer_id, tag_key, tag, added_at, since_position, since_occurred_at)
SELECT id, tag, tag, at, n, at FROM made;

INSERT INTO daybook_read.opportunities (
    id, title, title_key, status, customer_id, pipeline_id, stage_id, stage_entered_at, probability,
    probability_overridden, amount, currency, owner_id, opened_at, registered_position, last_touched_at, version,
    position, recorded_at, since_occurred_at
)
SELECT
    'opp_' || n, 'Engine ' || n, 'engine ' || n, 'open', id, 'pip_1', 'stg_1', at, 40, false, n %% 1000 * 100, 'EUR',
    owner, at, n, at, 1, n, at, at
FROM made;

DROP TABLE made;
