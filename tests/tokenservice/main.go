// Tokenservice gives the tokens that a registry wants (https://distribution.github.io/distribution/spec/auth/token/),
// for tests: its key lives as long as it runs, and its users are known to everybody.
//
// It prints "listening on ADDRESS" once it serves, and writes what the registry's rootcertbundle has to hold.
package main

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"flag"
	"fmt"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"
)

// user is what somebody may do in every repository.
type user struct {
	password string
	actions  []string
}

var users = map[string]user{
	"test":   {"secret", []string{"pull", "push", "delete", "*"}},
	"reader": {"secret", []string{"pull"}},
}

// refreshPrefix and a user's name are that user's identity token.
const refreshPrefix = "refresh-"

type service struct {
	issuer, audience string
	expires          time.Duration
	key              *rsa.PrivateKey
	certificate      []byte
}

// access is a claim of a token: what may be done to one thing.
type access struct {
	Type    string   `json:"type"`
	Name    string   `json:"name"`
	Actions []string `json:"actions"`
}

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "where to listen; port 0: a free one")
	issuer := flag.String("issuer", "parbuckle-tests", "who gives the tokens")
	audience := flag.String("service", "registry", "the registry's name")
	certOut := flag.String("cert-out", "", "where to write the certificate")
	expires := flag.Duration("expires", 5*time.Minute, "how long a token is good for")
	flag.Parse()
	if *certOut == "" || flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	s := &service{issuer: *issuer, audience: *audience, expires: *expires}
	if err := s.makeKey(*certOut); err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	http.HandleFunc("GET /token", s.get)
	http.HandleFunc("POST /token", s.post)
	fmt.Println("listening on", listener.Addr())
	log.Fatal(http.Serve(listener, nil))
}

// makeKey makes a key, and a certificate for it that nobody but the registry trusts.
func (s *service) makeKey(certOut string) error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: s.issuer},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(24 * time.Hour),
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	s.key = key
	s.certificate, err = x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	bundle := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.certificate})
	return os.WriteFile(certOut, bundle, 0o644)
}

// get serves the token specification: basic authentication, or none at all for a token without rights.
func (s *service) get(w http.ResponseWriter, r *http.Request) {
	name, password, given := r.BasicAuth()
	if given && !valid(name, password) {
		w.Header().Set("WWW-Authenticate", `Basic realm="tests"`)
		refuse(w, "incorrect username or password")
		return
	}
	query := r.URL.Query()
	s.answer(w, name, query.Get("service"), query["scope"], nil)
}

// post serves OAuth2: a password, or an identity token.
func (s *service) post(w http.ResponseWriter, r *http.Request) {
	name := ""
	switch r.PostFormValue("grant_type") {
	case "password":
		name = r.PostFormValue("username")
		if !valid(name, r.PostFormValue("password")) {
			refuse(w, "incorrect username or password")
			return
		}
	case "refresh_token":
		token, ok := strings.CutPrefix(r.PostFormValue("refresh_token"), refreshPrefix)
		if _, known := users[token]; !ok || !known {
			refuse(w, "unknown refresh token")
			return
		}
		name = token
	default:
		http.Error(w, `{"error":"unsupported_grant_type"}`, http.StatusBadRequest)
		return
	}
	more := map[string]any{"refresh_token": refreshPrefix + name, "scope": r.PostFormValue("scope")}
	s.answer(w, name, r.PostFormValue("service"), strings.Fields(r.PostFormValue("scope")), more)
}

func valid(name, password string) bool {
	known, ok := users[name]
	return ok && known.password == password
}

func refuse(w http.ResponseWriter, why string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusUnauthorized)
	fmt.Fprintf(w, `{"errors":[{"code":"UNAUTHORIZED","message":%q}]}`, why)
}

func (s *service) answer(w http.ResponseWriter, name, audience string, scopes []string, more map[string]any) {
	if audience != s.audience {
		http.Error(w, `{"errors":[{"code":"DENIED","message":"unknown service"}]}`, http.StatusForbidden)
		return
	}
	now := time.Now()
	token, err := s.sign(map[string]any{
		"iss": s.issuer, "sub": name, "aud": audience, "access": granted(users[name].actions, scopes),
		"iat": now.Unix(), "nbf": now.Add(-10 * time.Second).Unix(), "exp": now.Add(s.expires).Unix(),
		"jti": rand.Text(),
	})
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	reply := map[string]any{
		"token": token, "access_token": token, "expires_in": int(s.expires.Seconds()),
		"issued_at": now.UTC().Format(time.RFC3339),
	}
	for key, value := range more {
		reply[key] = value
	}
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(reply); err != nil {
		log.Print(err)
	}
}

// granted is what is left of the scopes (type:name:action,action) that somebody asks for: of each, what they may do.
func granted(allowed []string, scopes []string) []access {
	claims := []access{}
	for _, scope := range scopes {
		kind, rest, ok := strings.Cut(scope, ":")
		colon := strings.LastIndex(rest, ":")
		if !ok || colon < 0 {
			continue
		}
		claim := access{Type: kind, Name: rest[:colon], Actions: []string{}}
		for _, action := range strings.Split(rest[colon+1:], ",") {
			if slices.Contains(allowed, action) {
				claim.Actions = append(claim.Actions, action)
			}
		}
		if len(claim.Actions) > 0 {
			claims = append(claims, claim)
		}
	}
	return claims
}

// sign makes a JSON web token, RS256, that carries its certificate (x5c).
func (s *service) sign(claims map[string]any) (string, error) {
	header, err := json.Marshal(map[string]any{
		"typ": "JWT", "alg": "RS256", "x5c": []string{base64.StdEncoding.EncodeToString(s.certificate)},
	})
	if err != nil {
		return "", err
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	encode := base64.RawURLEncoding.EncodeToString
	signed := encode(header) + "." + encode(payload)
	digest := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(rand.Reader, s.key, crypto.SHA256, digest[:])
	if err != nil {
		return "", err
	}
	return signed + "." + encode(signature), nil
}
