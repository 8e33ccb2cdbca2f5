package parbuckle

// #include <parbuckle.h>
import "C"

// Keychain says which credentials go to which registry. It is read when a client is made with it. It shows no secrets
// when it is printed.
type Keychain struct {
	open func(a *arena) *C.parb_keychain
}

// DefaultKeychain is what docker login or podman login left behind: $DOCKER_CONFIG or ~/.docker, $REGISTRY_AUTH_FILE,
// podman's own places. Clients that are told nothing else have it.
func DefaultKeychain() Keychain {
	return Keychain{func(*arena) *C.parb_keychain { return C.parb_keychain_default() }}
}

// AnonymousKeychain has credentials for nobody.
func AnonymousKeychain() Keychain {
	return Keychain{func(*arena) *C.parb_keychain { return C.parb_keychain_anonymous() }}
}

// BasicKeychain has user and password for one registry (host, or host:port).
func BasicKeychain(registry, user, password string) Keychain {
	return Keychain{func(a *arena) *C.parb_keychain {
		return C.parb_keychain_basic(a.text("registry", registry), a.text("user", user), a.text("password", password))
	}}
}

// BearerKeychain has a token for one registry (host, or host:port), which is sent as it is.
func BearerKeychain(registry, token string) Keychain {
	return Keychain{func(a *arena) *C.parb_keychain {
		return C.parb_keychain_bearer(a.text("registry", registry), a.text("token", token))
	}}
}

// ChainKeychain asks several keychains: the first that knows something is believed.
func ChainKeychain(keychains ...Keychain) Keychain {
	return Keychain{func(a *arena) *C.parb_keychain {
		list := make([]*C.parb_keychain, len(keychains)+1) // one more, so that there is a first
		for i, keychain := range keychains {
			list[i] = keychain.make(a)
			defer C.parb_keychain_free(list[i])
		}
		return C.parb_keychain_chain(&list[0], C.size_t(len(keychains)))
	}}
}

// make is the C keychain; free it. The zero Keychain is the anonymous one.
func (k Keychain) make(a *arena) *C.parb_keychain {
	if k.open == nil {
		k = AnonymousKeychain()
	}
	c := k.open(a)
	if c == nil {
		a.fail(newError(InvalidArgument, "a keychain has a text that is not UTF-8"))
	}
	return c
}
