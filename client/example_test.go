package client_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"time"

	"housing/client"
)

func Example() {
	handler, err := newHandler() // a service, as `housing serve` starts one
	if err != nil {
		fmt.Println(err)
		return
	}
	server := httptest.NewServer(handler)
	defer server.Close()

	c, err := client.New(server.URL, client.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()

	house := client.House{
		Bedrooms: 3, Bathrooms: 2.5, SqftLiving: 2220, SqftLot: 6380, Floors: 1.5, SqftAbove: 1660, SqftBasement: 560, Zipcode: "98115",
		Grade: new(8.0), YrBuilt: new(1931.0), // what is left out is unknown
	}
	answer, err := c.Predict(ctx, []client.House{house})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(len(answer.Predictions), "price, of hundreds of thousands:", answer.Predictions[0] > 200_000 && answer.Predictions[0] < 2_000_000)

	house.SqftLiving = 12
	_, err = c.Predict(ctx, []client.House{house})
	var said *client.Error
	if errors.As(err, &said) {
		for _, f := range said.Faults {
			index, field, _ := f.Record()
			fmt.Printf("house %d: %s %s\n", index, field, f.Message)
		}
	}
	// Output:
	// 1 price, of hundreds of thousands: true
	// house 0: sqft_living must be at least 100
}
