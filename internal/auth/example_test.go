package auth_test

import (
	"context"
	"fmt"
	"time"

	"housing/internal/auth"
)

func Example() {
	secrets, err := auth.ParseSecrets("a secret of thirty-two bytes or more")
	if err != nil {
		fmt.Println(err)
		return
	}
	token, err := secrets.Sign(auth.Claims{User: "ann", Scopes: auth.Predict, IssuedAt: time.Now(), Expires: time.Now().Add(time.Hour)})
	if err != nil {
		fmt.Println(err)
		return
	}
	caller, err := auth.New(auth.Options{Secrets: secrets}).Verify(context.Background(), token)
	fmt.Println(caller.User, caller.Scopes, err)
	_, err = auth.New(auth.Options{Secrets: secrets}).Verify(context.Background(), token+"x")
	fmt.Println(err)
	// Output:
	// ann predict <nil>
	// the token is not signed by a key that is trusted here
}
