"""Customers and their orders."""

from django.db import models


class Customer(models.Model):
    name = models.TextField()
    email = models.TextField(unique=True)


class Order(models.Model):
    customer = models.ForeignKey(Customer, on_delete=models.PROTECT)
    total = models.DecimalField(max_digits=10, decimal_places=2)
