-- The period enum is declared in the order that C code relies on.
SELECT enum_range(NULL::ecomsocial.period);
