-- The same standings as bench/program/levels.yaml gives, as one would write them by hand for DuckDB, for 2026-06-30 and the
-- usual risk horizon of 90 days. Tables: partners, opportunities, certifications, rates.
WITH RECURSIVE
days AS (
    SELECT unnest(generate_series(DATE '2024-07-01', DATE '2026-06-30', INTERVAL 1 DAY))::DATE AS day
),
periods AS (
    SELECT currency, effective_from AS first_day,
           lead(effective_from, 1, DATE '9999-12-31') OVER (PARTITION BY currency ORDER BY effective_from) AS next_first_day,
           CASE currency WHEN 'EUR' THEN 1 ELSE round(1 / rate, 12) END::DECIMAL(18, 12) AS factor
    FROM rates
),
factors AS (
    SELECT currency, day, factor FROM days JOIN periods ON day >= first_day AND day < next_first_day
),
deals AS (
    SELECT partner_id, closed_on, is_won, is_won AND coalesce(type <> 'renewal', true) AS sold,
           round(amount * factor, 2)::DECIMAL(19, 2) AS eur
    FROM opportunities AS deal
    JOIN factors ON factors.currency = deal.currency AND factors.day = deal.closed_on
    WHERE deal.closed_on BETWEEN DATE '2024-07-01' AND DATE '2026-06-30'
      AND deal.is_closed AND deal.created_on <= DATE '2026-06-30'
),
own AS (
    SELECT partner_id,
           sum(eur) FILTER (sold AND closed_on >= DATE '2025-07-01') AS revenue,
           sum(eur) FILTER (sold AND closed_on < DATE '2025-07-01') AS revenue_before,
           sum(eur) FILTER (sold AND closed_on >= DATE '2025-09-29') AS revenue_left,
           sum(eur) FILTER (sold AND closed_on BETWEEN DATE '2024-09-29' AND DATE '2025-09-28') AS revenue_before_left,
           sum(eur) FILTER (sold AND closed_on >= DATE '2025-12-31') AS revenue_half,
           count(*) FILTER (is_won AND closed_on >= DATE '2025-07-01') AS deals,
           count(*) FILTER (is_won AND closed_on >= DATE '2025-09-29') AS deals_left,
           count(*) FILTER (is_won AND closed_on >= DATE '2025-12-31') AS deals_half,
           count(*) FILTER (NOT is_won AND closed_on >= DATE '2025-07-01') AS lost,
           count(*) FILTER (NOT is_won AND closed_on >= DATE '2025-09-29') AS lost_left,
           count(*) FILTER (NOT is_won AND closed_on >= DATE '2025-12-31') AS lost_half
    FROM deals
    GROUP BY partner_id
),
people AS (
    SELECT partner_id, person_id, max(coalesce(expires_on, DATE '9999-12-31')) AS until
    FROM certifications
    WHERE issued_on <= DATE '2026-06-30'
    GROUP BY partner_id, person_id
),
certified AS (
    SELECT partner_id, count(*) FILTER (until > DATE '2026-06-30') AS certified,
           count(*) FILTER (until > DATE '2026-09-28') AS certified_left
    FROM people
    GROUP BY partner_id
),
above AS (
    SELECT partner_id AS member, partner_id AS ancestor FROM partners
    UNION ALL
    SELECT above.member, partners.parent_id
    FROM above JOIN partners ON partners.partner_id = above.ancestor
    WHERE partners.parent_id IS NOT NULL
),
family AS (
    SELECT ancestor AS partner_id, sum(revenue) AS family, sum(revenue_left) AS family_left, sum(revenue_half) AS family_half
    FROM above JOIN own ON own.partner_id = above.member
    GROUP BY ancestor
),
numbers AS (
    SELECT partners.partner_id, region,
           coalesce(revenue, 0)::DECIMAL(28, 2) AS revenue, coalesce(revenue_before, 0)::DECIMAL(28, 2) AS revenue_before,
           coalesce(revenue_left, 0)::DECIMAL(28, 2) AS revenue_left,
           coalesce(revenue_before_left, 0)::DECIMAL(28, 2) AS revenue_before_left,
           (coalesce(revenue_left, 0) + round(coalesce(revenue_half, 0) * 90 / 182, 2))::DECIMAL(28, 2) AS revenue_pace,
           coalesce(family, 0)::DECIMAL(28, 2) AS family, coalesce(family_left, 0)::DECIMAL(28, 2) AS family_left,
           (coalesce(family_left, 0) + round(coalesce(family_half, 0) * 90 / 182, 2))::DECIMAL(28, 2) AS family_pace,
           coalesce(deals, 0) AS deals, coalesce(deals_left, 0) AS deals_left,
           coalesce(deals_left, 0) + coalesce(deals_half, 0) * 90 / 182 AS deals_pace,
           coalesce(lost, 0) AS lost, coalesce(lost_left, 0) AS lost_left,
           coalesce(lost_left, 0) + coalesce(lost_half, 0) * 90 / 182 AS lost_pace,
           coalesce(certified, 0) AS certified, coalesce(certified_left, 0) AS certified_left,
           CASE region WHEN 'EMEA' THEN 40000 WHEN 'APAC' THEN 30000 ELSE 50000 END AS silver,
           CASE region WHEN 'EMEA' THEN 120000 WHEN 'APAC' THEN 90000 ELSE 150000 END AS gold,
           CASE region WHEN 'EMEA' THEN 320000 WHEN 'APAC' THEN 240000 ELSE 400000 END AS platinum
    FROM partners
    LEFT JOIN own USING (partner_id)
    LEFT JOIN family USING (partner_id)
    LEFT JOIN certified USING (partner_id)
),
ratios AS (
    SELECT *,
           round((revenue - revenue_before)::DOUBLE / nullif(revenue_before, 0), 9) AS growth,
           round((revenue_left - revenue_before_left)::DOUBLE / nullif(revenue_before_left, 0), 9) AS growth_left,
           round((revenue_pace - revenue_before_left)::DOUBLE / nullif(revenue_before_left, 0), 9) AS growth_pace,
           round(deals / nullif(deals + lost, 0), 9) AS win_rate,
           round(deals_left / nullif(deals_left + lost_left, 0), 9) AS win_rate_left,
           round(deals_pace / nullif(deals_pace + lost_pace, 0), 9) AS win_rate_pace
    FROM numbers
),
tiers AS (
    SELECT *,
           CASE WHEN revenue >= platinum AND family >= 450000 AND certified >= 4
                     AND (coalesce(growth >= 0.05, false) OR coalesce(win_rate >= 0.65, false)) THEN 'platinum'
                WHEN revenue >= gold AND certified >= 3 AND deals >= 5 THEN 'gold'
                WHEN revenue >= silver AND certified >= 1 THEN 'silver'
                ELSE 'registered' END AS tier,
           CASE WHEN revenue_left >= platinum AND family_left >= 450000 AND certified_left >= 4
                     AND (coalesce(growth_left >= 0.05, false) OR coalesce(win_rate_left >= 0.65, false)) THEN 'platinum'
                WHEN revenue_left >= gold AND certified_left >= 3 AND deals_left >= 5 THEN 'gold'
                WHEN revenue_left >= silver AND certified_left >= 1 THEN 'silver'
                ELSE 'registered' END AS projected_tier,
           CASE WHEN revenue_pace >= platinum AND family_pace >= 450000 AND certified_left >= 4
                     AND (coalesce(growth_pace >= 0.05, false) OR coalesce(win_rate_pace >= 0.65, false)) THEN 'platinum'
                WHEN revenue_pace >= gold AND certified_left >= 3 AND deals_pace >= 5 THEN 'gold'
                WHEN revenue_pace >= silver AND certified_left >= 1 THEN 'silver'
                ELSE 'registered' END AS pace_tier,
           CASE tier WHEN 'platinum' THEN revenue < platinum * 1.1 OR family < 450000 * 1.1 OR certified < 4 * 1.1
                                          OR NOT (coalesce(growth >= 0.05 * 1.1, false) OR coalesce(win_rate >= 0.65 * 1.1, false))
                     WHEN 'gold' THEN revenue < gold * 1.1 OR certified < 3 * 1.1 OR deals < 5 * 1.1
                     WHEN 'silver' THEN revenue < silver * 1.1 OR certified < 1.1
                     ELSE false END AS thin,
           CASE tier WHEN 'platinum' THEN 4 WHEN 'gold' THEN 3 WHEN 'silver' THEN 2 ELSE 1 END AS height,
           CASE projected_tier WHEN 'platinum' THEN 4 WHEN 'gold' THEN 3 WHEN 'silver' THEN 2 ELSE 1 END AS projected_height,
           CASE pace_tier WHEN 'platinum' THEN 4 WHEN 'gold' THEN 3 WHEN 'silver' THEN 2 ELSE 1 END AS pace_height
    FROM ratios
),
shares AS (
    SELECT *,
           CASE tier WHEN 'registered' THEN silver WHEN 'silver' THEN gold WHEN 'gold' THEN platinum END AS next_revenue,
           CASE tier WHEN 'registered' THEN 1 WHEN 'silver' THEN 3 WHEN 'gold' THEN 4 END AS next_certified,
           least(greatest(revenue::DOUBLE / next_revenue, 0), 1) AS revenue_share,
           least(certified / next_certified, 1) AS certified_share,
           least(deals / 5, 1) AS deals_share,
           least(greatest(family::DOUBLE / 450000, 0), 1) AS family_share,
           coalesce(least(greatest(growth / 0.05, 0), 1), 0) AS growth_share,
           coalesce(least(greatest(win_rate / 0.65, 0), 1), 0) AS win_rate_share,
           greatest(growth_share, win_rate_share) AS best_share
    FROM tiers
),
falling AS (
    SELECT * FROM tiers WHERE projected_height < height
),
leaving AS (
    SELECT partner_id, (closed_on + INTERVAL 1 YEAR)::DATE AS day,
           sum(eur) FILTER (sold) AS revenue, sum(eur) FILTER (sold) AS revenue_before,
           count(*) FILTER (is_won) AS deals, count(*) FILTER (NOT is_won) AS lost
    FROM deals SEMI JOIN falling USING (partner_id)
    WHERE closed_on BETWEEN DATE '2025-07-01' AND DATE '2025-09-28'
    GROUP BY ALL
    UNION ALL
    SELECT partner_id, (closed_on + INTERVAL 2 YEAR)::DATE, 0, -sum(eur), 0, 0
    FROM deals SEMI JOIN falling USING (partner_id)
    WHERE sold AND closed_on BETWEEN DATE '2024-07-01' AND DATE '2024-09-28'
    GROUP BY ALL
),
family_leaving AS (
    SELECT ancestor AS partner_id, (closed_on + INTERVAL 1 YEAR)::DATE AS day, sum(eur) AS family
    FROM deals JOIN above ON above.member = deals.partner_id SEMI JOIN falling ON falling.partner_id = above.ancestor
    WHERE sold AND closed_on BETWEEN DATE '2025-07-01' AND DATE '2025-09-28'
    GROUP BY ALL
),
lapsing AS (
    SELECT partner_id, until AS day, count(*) AS certified
    FROM people SEMI JOIN falling USING (partner_id)
    WHERE until BETWEEN DATE '2026-07-01' AND DATE '2026-09-28'
    GROUP BY ALL
),
changes AS (
    SELECT partner_id, day, sum(revenue) AS revenue, sum(revenue_before) AS revenue_before, sum(family) AS family,
           sum(deals) AS deals, sum(lost) AS lost, sum(certified) AS certified
    FROM (
        SELECT *, 0 AS family, 0 AS certified FROM leaving
        UNION ALL BY NAME
        SELECT partner_id, day, 0 AS revenue, 0 AS revenue_before, family, 0 AS deals, 0 AS lost, 0 AS certified FROM family_leaving
        UNION ALL BY NAME
        SELECT partner_id, day, 0 AS revenue, 0 AS revenue_before, 0 AS family, 0 AS deals, 0 AS lost, certified FROM lapsing
    )
    GROUP BY partner_id, day
),
ahead AS (
    SELECT falling.partner_id, changes.day, height, silver, gold, platinum,
           falling.revenue - coalesce(sum(changes.revenue) OVER later, 0) AS revenue,
           falling.revenue_before + coalesce(sum(changes.revenue_before) OVER later, 0) AS revenue_before,
           falling.family - coalesce(sum(changes.family) OVER later, 0) AS family,
           falling.deals - sum(changes.deals) OVER later AS deals,
           falling.lost - sum(changes.lost) OVER later AS lost,
           falling.certified - sum(changes.certified) OVER later AS certified
    FROM falling JOIN changes USING (partner_id)
    WINDOW later AS (PARTITION BY falling.partner_id ORDER BY changes.day)
),
losses AS (
    SELECT partner_id, min(day) AS risk_on
    FROM ahead
    WHERE height > CASE
        WHEN revenue >= platinum AND family >= 450000 AND certified >= 4
             AND (coalesce(round((revenue - revenue_before)::DOUBLE / nullif(revenue_before, 0), 9) >= 0.05, false)
                  OR coalesce(round(deals / nullif(deals + lost, 0), 9) >= 0.65, false)) THEN 4
        WHEN revenue >= gold AND certified >= 3 AND deals >= 5 THEN 3
        WHEN revenue >= silver AND certified >= 1 THEN 2
        ELSE 1 END
    GROUP BY partner_id
)
SELECT partner_id, tier AS calculated_tier, projected_tier, pace_tier,
       CASE WHEN height = 1 THEN 'none' WHEN pace_height < height THEN 'high' WHEN projected_height < height THEN 'medium'
            WHEN thin THEN 'low' ELSE 'none' END AS risk,
       risk_on,
       CASE tier WHEN 'registered' THEN 'silver' WHEN 'silver' THEN 'gold' WHEN 'gold' THEN 'platinum' END AS next_tier,
       CASE WHEN tier <> 'platinum' THEN least(floor(round(1000 * CASE tier
           WHEN 'registered' THEN (revenue_share + certified_share) / 2
           WHEN 'silver' THEN (revenue_share + certified_share + deals_share) / 3
           WHEN 'gold' THEN (revenue_share + family_share + certified_share + best_share) / 4 END, 6)) / 10, 99.9) END AS progress,
       CASE tier
           WHEN 'registered' THEN CASE least(revenue_share, certified_share)
               WHEN revenue_share THEN 'revenue' ELSE 'certified' END
           WHEN 'silver' THEN CASE least(revenue_share, certified_share, deals_share)
               WHEN revenue_share THEN 'revenue' WHEN certified_share THEN 'certified' ELSE 'deals' END
           WHEN 'gold' THEN CASE least(revenue_share, family_share, certified_share, best_share)
               WHEN revenue_share THEN 'revenue' WHEN family_share THEN 'family_revenue' WHEN certified_share THEN 'certified'
               WHEN growth_share THEN 'growth' ELSE 'win_rate' END END AS main_blocker,
       CASE tier
           WHEN 'registered' THEN concat_ws('; ',
               CASE WHEN revenue < silver THEN format('revenue: {} of {}.00 EUR, {} missing', revenue::VARCHAR, silver, (silver - revenue)::VARCHAR) END,
               CASE WHEN certified < 1 THEN format('certified: {} of 1 people, {} missing', certified, 1 - certified) END)
           WHEN 'silver' THEN concat_ws('; ',
               CASE WHEN revenue < gold THEN format('revenue: {} of {}.00 EUR, {} missing', revenue::VARCHAR, gold, (gold - revenue)::VARCHAR) END,
               CASE WHEN certified < 3 THEN format('certified: {} of 3 people, {} missing', certified, 3 - certified) END,
               CASE WHEN deals < 5 THEN format('deals: {} of 5, {} missing', deals, 5 - deals) END)
           WHEN 'gold' THEN concat_ws('; ',
               CASE WHEN revenue < platinum THEN format('revenue: {} of {}.00 EUR, {} missing', revenue::VARCHAR, platinum, (platinum - revenue)::VARCHAR) END,
               CASE WHEN family < 450000 THEN format('family_revenue: {} of 450000.00 EUR, {} missing', family::VARCHAR, (450000 - family)::VARCHAR) END,
               CASE WHEN certified < 4 THEN format('certified: {} of 4 people, {} missing', certified, 4 - certified) END,
               CASE WHEN growth < 0.05 AND growth_share >= win_rate_share THEN format('growth: {} of 0.05', growth) END,
               CASE WHEN win_rate < 0.65 AND win_rate_share > growth_share THEN format('win_rate: {} of 0.65', win_rate) END)
           END AS gap_summary,
       CASE tier
           WHEN 'registered' THEN [
               {'metric': 'revenue', 'value': revenue::VARCHAR, 'required': silver || '.00',
                'missing': greatest(silver - revenue, 0)::DECIMAL(28, 2)::VARCHAR, 'met': revenue >= silver},
               {'metric': 'certified', 'value': certified::VARCHAR, 'required': '1',
                'missing': greatest(1 - certified, 0)::VARCHAR, 'met': certified >= 1}]
           WHEN 'silver' THEN [
               {'metric': 'revenue', 'value': revenue::VARCHAR, 'required': gold || '.00',
                'missing': greatest(gold - revenue, 0)::DECIMAL(28, 2)::VARCHAR, 'met': revenue >= gold},
               {'metric': 'certified', 'value': certified::VARCHAR, 'required': '3',
                'missing': greatest(3 - certified, 0)::VARCHAR, 'met': certified >= 3},
               {'metric': 'deals', 'value': deals::VARCHAR, 'required': '5',
                'missing': greatest(5 - deals, 0)::VARCHAR, 'met': deals >= 5}]
           WHEN 'gold' THEN [
               {'metric': 'revenue', 'value': revenue::VARCHAR, 'required': platinum || '.00',
                'missing': greatest(platinum - revenue, 0)::DECIMAL(28, 2)::VARCHAR, 'met': revenue >= platinum},
               {'metric': 'family_revenue', 'value': family::VARCHAR, 'required': '450000.00',
                'missing': greatest(450000 - family, 0)::DECIMAL(28, 2)::VARCHAR, 'met': family >= 450000},
               {'metric': 'certified', 'value': certified::VARCHAR, 'required': '4',
                'missing': greatest(4 - certified, 0)::VARCHAR, 'met': certified >= 4},
               {'metric': 'growth', 'value': rtrim(rtrim(printf('%.9f', growth), '0'), '.'), 'required': '0.05',
                'missing': rtrim(rtrim(printf('%.9f', CASE WHEN growth < 0.05 THEN 0.05 - growth ELSE growth * 0 END), '0'), '.'),
                'met': coalesce(growth >= 0.05, false)},
               {'metric': 'win_rate', 'value': rtrim(rtrim(printf('%.9f', win_rate), '0'), '.'), 'required': '0.65',
                'missing': rtrim(rtrim(printf('%.9f', CASE WHEN win_rate < 0.65 THEN 0.65 - win_rate ELSE win_rate * 0 END), '0'), '.'),
                'met': coalesce(win_rate >= 0.65, false)}]
           ELSE [] END AS gap,
       {'revenue': revenue::VARCHAR, 'growth': rtrim(rtrim(printf('%.9f', growth), '0'), '.'), 'family_revenue': family::VARCHAR,
        'deals': deals::VARCHAR, 'lost': lost::VARCHAR, 'win_rate': rtrim(rtrim(printf('%.9f', win_rate), '0'), '.'),
        'certified': certified::VARCHAR} AS metrics
FROM shares LEFT JOIN losses USING (partner_id)
ORDER BY partner_id
