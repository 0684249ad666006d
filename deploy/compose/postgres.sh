#!/bin/sh
# Runs once, on an empty volume: makes the database and its owner, which may do
# nothing else. The services make their tables themselves.
set -eu
psql -v ON_ERROR_STOP=1 -v password="$(cat /run/secrets/database_password)" -U postgres -d postgres <<'SQL'
CREATE ROLE housing LOGIN PASSWORD :'password';
CREATE DATABASE housing OWNER housing;
SQL
