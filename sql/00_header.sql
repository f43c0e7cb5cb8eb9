-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION ecomsocial" to load this file. \quit

-- Whoever uses the extension needs no grant of its own: rights are those of the tables.
GRANT USAGE ON SCHEMA ecomsocial TO PUBLIC;
COMMENT ON SCHEMA ecomsocial IS 'functions and types of the extension ecomsocial';

