#!/usr/bin/env bash
# Installs the Debian packages that tests and benchmarks run against: a browser, fonts that hold Japanese, PostgreSQL 15
# beside the embedded one, tools that look at what Izumi makes (PDF), varnishtest, which scripts wire cases of the edge, and an
# oracle (gdnsd) and a validator (delv) for DNS. What they bring as services is not started by the tests and need not run.
# `--peers` adds the products that benchmarks are measured against. Everything here is optional for running Izumi itself.
set -euo pipefail

packages=(chromium libfaketime fonts-noto-cjk postgresql-15 poppler-utils varnish gdnsd bind9-dnsutils)
[ "${1:-}" = "--peers" ] && packages+=(placement-api uwsgi uwsgi-plugin-python3 python3-psycopg2 nginx haproxy trafficserver wrk openssl dnsperf pdns-server pdns-backend-geoip knot rrdtool postgresql-client)

missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then
  echo "All engines are installed."
  exit 0
fi
echo "Installing: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
# Debian starts what it installs; nothing here needs that.
export RUNLEVEL=1
run=()
[ "$(id -u)" -eq 0 ] || run=(sudo)
"${run[@]}" apt-get update -qq
"${run[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}"
