"""At least one good line for every keyword that is supported. test_table.py sees to it that none is missing.

PROXY lines go through every section that the keyword's row names; lines that need another before them are written with " / ".
"""

from __future__ import annotations

GLOBAL = """
workers 4
dispatchers 2
channel-uids 1000 1001
nbproc 4
ca-base /etc/ssl/ca
crt-base /etc/ssl/site
chroot /var/empty
cpu-map 1 0
cpu-map auto:1/1-4 0-3
cpu-map odd 0 2
daemon
default-path config
default-path origin /etc/usher
description the front of the shop
expose-experimental-directives
expose-deprecated-directives
fd-hard-limit 50000
fd-soft-limit 20000
force-cfg-parser-pause 1s
gid 33
group www-data
grace 10s
hard-stop-after 30s
close-spread-time 5s
close-spread-time infinite
h1-accept-payload-with-any-method
h1-case-adjust content-length Content-Length
h1-case-adjust-file /etc/usher/names
h1-do-not-close-on-insecure-transfer-encoding
harden.reject-privileged-ports.tcp on
insecure-fork-wanted
no insecure-fork-wanted
insecure-setuid-wanted
localpeer here
log 127.0.0.1:514 local0
log stdout format raw local0 info
log /dev/log len 4096 format rfc5424 sample 1,3-5:10 daemon warning err
log stderr format iso profile short local0
no log
log-send-hostname
log-send-hostname front1
log-tag front
master-worker
master-worker no-exit-on-failure
mworker-max-reloads 3
node front-1
pidfile /run/usher.pid
pp2-never-send-local
presetenv A b
setenv A "b c"
unsetenv A B
resetenv
resetenv PATH
server-state-base /var/lib/usher
server-state-file states
set-dumpable
set-dumpable libs
no set-dumpable
set-var proc.x int(3),add(4)
set-var-fmt proc.boot "%[date]"
setcap cap_net_bind_service,cap_net_raw
stats-file /var/lib/usher/stats
stats socket /run/usher.sock level admin mode 660 user root group root expose-fd listeners
stats socket ipv4@127.0.0.1:9999 level operator severity-output number
stats socket fd@3 level admin
stats timeout 30s
stats maxconn 5
strict-limits
no strict-limits
uid 33
user www-data
ulimit-n 10000
unix-bind prefix /run/usher/ mode 660 user root uid 0 group root gid 0
warn-blocked-traffic-after 100ms
issuers-chain-path /etc/ssl/chains
ssl-default-bind-ciphers ECDHE+AESGCM
ssl-default-bind-ciphersuites TLS_AES_128_GCM_SHA256
ssl-default-bind-curves X25519:P-256
ssl-default-bind-sigalgs ECDSA+SHA256
ssl-default-bind-options ssl-min-ver TLSv1.2 no-tls-tickets prefer-client-ciphers
ssl-default-server-ciphers ECDHE+AESGCM
ssl-default-server-ciphersuites TLS_AES_128_GCM_SHA256
ssl-default-server-curves X25519
ssl-default-server-sigalgs ECDSA+SHA256
ssl-default-server-options ssl-min-ver TLSv1.2 no-ssl-reuse
ssl-dh-param-file /etc/ssl/dh.pem
ssl-load-extra-del-ext
ssl-load-extra-files ocsp key
ssl-security-level 1
ssl-server-verify none
ssl-skip-self-issued-ca
tune.ssl.cachesize 0
tune.ssl.capture-buffer-size 96
tune.ssl.capture-cipherlist-size 96
tune.ssl.default-dh-param 2048
tune.ssl.hard-maxrecord 4096
tune.ssl.keylog on
tune.ssl.lifetime 10m
tune.ssl.maxrecord 1419
tune.ssl.ticket-rotation 6h
maxconn 20000
maxconnrate 1000
maxpipes 500
maxsessrate 1000
maxsslconn 10000
maxsslrate 500
max-spread-checks 1s
spread-checks 5
nosplice
noreuseport
quiet
zero-warning
tune.bufsize 32k
tune.maxrewrite 1024
tune.http.maxhdr 128
tune.http.cookielen 100
tune.http.logurilen 2048
tune.maxaccept -1
tune.idletimer 1s
tune.pipesize 64k
tune.rcvbuf.client 32k
tune.rcvbuf.server 32k
tune.sndbuf.client 32k
tune.sndbuf.server 32k
tune.notsent-lowat.client 16k
tune.notsent-lowat.server 16k
tune.pattern.cache-size 0
tune.stick-counters 5
tune.max-checks-per-thread 10
tune.max-rules-at-once 50
tune.vars.global-max-size 1m
tune.vars.proc-max-size 1m
tune.vars.sess-max-size 100k
tune.vars.txn-max-size 100k
tune.vars.reqres-max-size 100k
tune.h1.zero-copy-fwd-recv off
tune.h1.zero-copy-fwd-send off
tune.dispatch.handshake-cost 8
tune.dispatch.handshake-deadline 5s
tune.handshakes-per-turn 2
tune.worker.hang-timeout 20s
tune.retry.body-size 64k
tune.killer-window 10m
"""

PROXY = """
acl static path_beg -i /static /images
backlog 1000
balance roundrobin
balance static-rr
balance leastconn
balance first
balance source
balance uri whole len 64 depth 3
balance uri path-only
balance url_param userid check_post 64
balance hdr(User-Agent)
balance hdr(Host) use_domain_only
balance random
balance random(3)
balance rdp-cookie
balance rdp-cookie(mstshash)
balance hash req.cook(clientid)
balance hash req.hdr_ip(x-forwarded-for,-1),ipmask(24)
balance budget
bind :80,:443
bind 10.0.0.1:10080,10.0.0.1:10443
bind /var/run/front.sock user root mode 600 accept-proxy
capture cookie ASPSESSION len 32
capture request header Host len 15
capture response header Content-length len 9
clitcpka-cnt 3
clitcpka-idle 60
clitcpka-intvl 10s
cookie JSESSIONID prefix
cookie SRV insert indirect nocache maxidle 30m maxlife 8h
cookie SRV insert postonly preserve httponly secure domain .example.org attr SameSite=None dynamic
cookie PHPSESSION rename
declare capture request len 64
default-server inter 1000 weight 13
default_backend nowhere
description all of it
disabled
dynamic-cookie-key secret
enabled
errorfile 503 /dev/null
errorfiles site
errorfiles site 503 400
errorfile 400 /etc/usher/400.http
errorloc 503 /down
errorloc302 503 http://example.org/down
errorloc303 503 /down
error-log-format "%ci %cp"
force-persist if TRUE
force-be-switch if TRUE
fullconn 1000
guid web-1
hash-balance-factor 150
hash-preserve-affinity maxconn
hash-type consistent
hash-type map-based wt6 avalanche
http-after-response set-header Strict-Transport-Security "max-age=31536000"
http-check comment alive
http-check connect port 8080 ssl sni example.org alpn http/1.1
http-check disable-on-404
http-check expect status 200,201,300-310
http-check expect ! rstatus ^5
http-check expect min-recv 10 comment odd error-status L7STS string ok
http-check expect hdr name -m beg x- value -m str a
http-check send meth GET uri /health ver HTTP/1.1 hdr Host example.org body x
http-check send-state
http-check set-var(check.port) int(1234)
http-check set-var-fmt(check.name) "port=%[var(check.port)]"
http-check unset-var(check.port)
http-error status 503 content-type text/plain string "sorry" hdr Retry-After 10
http-error status 400 default-errorfiles
http-request deny if { path_beg /private }
http-request set-header X-Client %[src]
http-response del-header Server
http-reuse always
http-send-name-header X-Server
id 42
ignore-persist if TRUE
load-server-state-from-file global
log global
log 127.0.0.1 local0 notice
no log
log-format "%ci:%cp [%t] %ft"
log-format-sd [exampleSDID@1234\\ bytes=\\"%B\\"]
log-steps accept,close
log-tag shop
max-keep-alive-queue -1
max-session-srv-conns 10
maxconn 1000
mode http
monitor fail if FALSE
monitor-uri /alive
persist rdp-cookie
persist rdp-cookie(name)
rate-limit sessions 100
redirect prefix https://mysite.com set-cookie SEEN=1 if FALSE
redirect scheme https code 301 unless TRUE
retries 5
retry-budget 10
retry-on conn-failure empty-response 503
retry-on all-retryable-errors
server a 192.0.2.1:8080
server-state-file-name use-backend-name
server-template srv 1-3 192.0.2.1:80 check
source 192.0.2.200
source 0.0.0.0 interface eth0
srvtcpka-cnt 3
srvtcpka-idle 60
srvtcpka-intvl 10
stats admin if TRUE
stats auth admin1:AdMiN123
stats enable
stats hide-version
stats show-version
stats http-request auth realm here unless TRUE
stats http-request allow
stats realm Usher\\ Statistics
stats refresh 10s
stats scope .
stats show-desc Master node
stats show-legends
stats show-modules
stats show-node front-1
stats uri /admin?stats
stick-table type ip size 1m expire 5m store gpc0,conn_rate(30s) / stick on src
stick-table type string len 32 size 100k nopurge expire 1h srvkey addr / stick match req.cook(JSESSIONID)
stick-table type ip size 10k / stick store-request src
stick-table type integer size 10k / stick store-response res.hdr_cnt(x)
stick-table type binary len 8 size 1k store gpc(4),gpt(2),gpc_rate(4,10s)
tcp-check comment hello
tcp-check connect port 110 linger
tcp-check expect string +OK\\ POP3\\ ready
tcp-check expect rbinary ^00ff
tcp-check send PING\\r\\n
tcp-check send-lf "GET %[str(x)]" comment ask
tcp-check send-binary 50494e47
tcp-check send-binary-lf "%[str(x),hex]"
tcp-check set-var(check.x) int(1)
tcp-check set-var-fmt(check.x) "a"
tcp-check unset-var(check.x)
tcp-request connection reject if { src 192.0.2.0/24 }
tcp-request session accept
tcp-request content accept if TRUE
tcp-request inspect-delay 5s
tcp-response content reject if FALSE
tcp-response inspect-delay 5s
timeout check 5s
timeout client 30s
timeout client-fin 1s
timeout client-hs 3s
timeout connect 4s
timeout http-keep-alive 10s
timeout http-request 10s
timeout queue 30s
timeout request-total 60s
timeout server 30s
timeout server-fin 1s
timeout tarpit 10s
timeout tunnel 1h
unique-id-format %{+X}o\\ %ci:%cp_%fi:%fp_%Ts_%rt:%pid
unique-id-header X-Unique-ID
use_backend nowhere if FALSE
use_backend %[req.hdr(host),lower] if TRUE
use-server here if FALSE
option abortonclose
option accept-invalid-http-request
option accept-invalid-http-response
option accept-unsafe-violations-in-http-request
option accept-unsafe-violations-in-http-response
option allbackups
option checkcache
option clitcpka
option contstats
option disable-h2-upgrade
option dontlog-normal
option dontlognull
no option dontlognull
option forwardfor except 127.0.0.0/8 header X-Client if-none
option forwarded proto for for_port by host
option forwarded
option h1-case-adjust-bogus-client
option h1-case-adjust-bogus-server
option http-buffer-request
option http-drop-request-trailers
option http-drop-response-trailers
option http-ignore-probes
option http-keep-alive
option http-no-delay
option http-pretend-keepalive
option http-restrict-req-hdr-names delete
option http-server-close
option http-strict-framing
option http-use-proxy-header
option httpchk
option httpchk /health
option httpchk OPTIONS * HTTP/1.1
option httpchk GET /health HTTP/1.1 example.org
option httpclose
option httplog
option httplog clf
option httpslog
option idle-close-on-response
option independent-streams
option independant-streams
option ldap-check
option log-health-checks
option log-separate-errors
option logasap
option mysql-check user haproxy post-41
option nolinger
option originalto except 127.0.0.1 header X-To
option persist
option pgsql-check user haproxy
option prefer-last-server
option proxy-status
option proxy-status front-1
option redis-check
option redispatch
option redispatch -1
default option redispatch
option smtpchk HELO mydomain.org
option socket-stats
option splice-auto
option splice-request
option splice-response
option srvtcpka
option ssl-hello-chk
option tcp-check
option tcp-smart-accept
option tcp-smart-connect
option tcpka
option tcplog
option tcpsplice
"""

BIND = """
accept-proxy
backlog 100
defer-accept
gid 33
group root
guid-prefix web
id 5
interface lo
maxconn 100
mode 660
mss 1400
mss -40
name web
nice -10
process 1
process 2-4
process odd
process all
proto h1
tcp-ut 30s
tfo
transparent
uid 0
user root
v4v6
v6only
ssl crt a.pem
ssl default-crt a.pem crt b.pem
ssl crt-list list.txt
ssl crt a.pem ca-file ca.pem verify required crl-file crl.pem ca-verify-file root.pem no-ca-names
ssl crt a.pem alpn http/1.1
ssl crt a.pem no-alpn
ssl crt a.pem ciphers ECDHE+AESGCM ciphersuites TLS_AES_128_GCM_SHA256 curves X25519 ecdhe prime256v1
ssl crt a.pem sigalgs ECDSA+SHA256
ssl crt a.pem ssl-min-ver TLSv1.2 ssl-max-ver TLSv1.3
ssl crt a.pem force-tlsv12
ssl crt a.pem force-tlsv13
ssl crt a.pem force-tlsv10
ssl crt a.pem force-tlsv11
ssl crt a.pem no-sslv3 no-tlsv10 no-tlsv11
ssl crt a.pem no-tlsv12
ssl crt a.pem no-tlsv13
ssl crt a.pem tls-tickets
ssl crt a.pem no-tls-tickets
ssl crt a.pem strict-sni
ssl crt a.pem no-strict-sni
ssl crt a.pem prefer-client-ciphers
ssl crt a.pem ca-file ca.pem verify optional ca-ignore-err all crt-ignore-err X509_V_ERR_CERT_HAS_EXPIRED,18
ssl crt a.pem ssl-preset modern
"""

SERVER = """
check inter 2s fastinter 500ms downinter 5s rise 2 fall 3
no-check
addr 192.0.2.9 port 8081 check
addr 192.0.2.9:8081 check
check check-send-proxy
no-check-send-proxy
check check-ssl check-sni example.org check-alpn http/1.1 check-proto h1 verify none
no-check-ssl check-sni-auto no-check-sni-auto
check-reuse-pool no-check-reuse-pool
agent-check agent-addr 192.0.2.9 agent-port 9000 agent-inter 5s agent-send hello\\n
no-agent-check
observe layer4 check error-limit 10 on-error mark-down
observe layer7 check
on-marked-down shutdown-sessions on-marked-up shutdown-backup-sessions
slowstart 30s
init-addr last,libc,none
init-addr 192.0.2.1
init-state up
resolve-opts allow-dup-ip,ignore-weight resolve-prefer ipv4 resolve-net 10.0.0.0/8,192.168.0.0/16
weight 0
weight 256
maxconn 100 minconn 10 maxqueue 5
max-reuse 10 pool-max-conn 20 pool-low-conn 2 pool-purge-delay 10s
pool-warm 3
pipeline 32
tcp-ut 30s
no-tfo
backup
no-backup
cookie s1
disabled
enabled
hash-key addr-port
non-stick
stick
redir http://images.example.org
proto h1
send-proxy
no-send-proxy
send-proxy-v2
no-send-proxy-v2
send-proxy-v2-ssl
no-send-proxy-v2-ssl
send-proxy-v2-ssl-cn
no-send-proxy-v2-ssl-cn
send-proxy-v2 proxy-v2-options ssl,cert-cn,crc32c,unique-id
send-proxy-v2 set-proxy-v2-tlv-fmt(0xE1) %[src]
no-pass-fd
source 192.0.2.200:1000-2000 interface lo
ws h1
ssl verify none
no-ssl
ssl ca-file @system-ca crt client.pem crl-file crl.pem verify required verifyhost example.org
no-verifyhost
ssl verify none sni req.hdr(host)
ssl verify none sni-auto
ssl verify none no-sni-auto
ssl verify none alpn http/1.1 ciphers ECDHE ciphersuites X curves X25519 sigalgs A
ssl verify none no-alpn
ssl verify none ssl-min-ver TLSv1.2 ssl-max-ver TLSv1.3
ssl verify none force-tlsv12
ssl verify none force-tlsv13
ssl verify none force-tlsv10
ssl verify none force-tlsv11
ssl verify none no-sslv3 no-tlsv10 no-tlsv11
ssl verify none no-tlsv12
ssl verify none no-tlsv13
ssl verify none tls-tickets
ssl verify none no-tls-tickets
ssl verify none ssl-reuse
ssl verify none no-ssl-reuse
"""

SERVER_ONLY = """
id 7
guid app-1
track other/t
resolvers dns
tfo
pass-fd send-proxy-v2
"""

SIDE = {
    "userlist": "group g1 users u1 / user u1 insecure-password secret\nuser u2 password $6$abc$def groups g2 / group g2\n",
    "http-errors": "errorfile 503 /etc/usher/503.http\nerrorfile 408 /dev/null\n",
    "resolvers": (
        "nameserver dns1 10.0.0.1:53\nnameserver dns3 tcp@10.0.0.3:53\nparse-resolv-conf\naccepted_payload_size 8192\nhold valid 10s\n"
        "hold obsolete 0s\nresolve_retries 3\ntimeout resolve 1s\ntimeout retry 1s\n"
    ),
    "peers": "table t1 type string len 16 size 10m store gpc0\npeer localhost 127.0.0.1:1024\nserver localhost\nenabled\ndisabled\n",
    "crt-store": (
        "crt-base /etc/ssl\nkey-base /etc/ssl/private\n"
        "load crt site.pem alias site key site.key ocsp site.ocsp issuer ca.pem sctl site.sctl\n"
    ),
    "log-profile": 'log-tag short\non error format "%ci" sd "x"\non any drop\n',
}


def lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line]
